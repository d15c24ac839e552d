"""What every fault cost, as the tests that make them found it, and the page that says so."""
