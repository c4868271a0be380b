"""What makes the files that ship, what measures them, and what both share."""
