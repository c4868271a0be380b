"""What makes the priors, weights and data that ship."""
