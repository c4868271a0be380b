"""What the pages of the documentation cite."""
