"""What is read from strangers, fed with whatever a fuzzer thinks of."""
