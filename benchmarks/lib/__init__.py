"""Tables, peers and helpers of the benchmarks."""
