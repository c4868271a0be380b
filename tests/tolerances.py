"""How close two fits come that read the same numbers in another order, or in other units."""

# Rounding of 1e-16 decides at which step a search for parameters stops. The searches stop where a
# step promises less than 1e-5 of a log likelihood: predictions agree to 1e-6 of their scale.
REFIT = {"rtol": 1e-5, "atol": 1e-5}
