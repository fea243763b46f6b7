"""The benches that tests/bench/run knows, by name."""
