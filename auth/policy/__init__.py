"""IAM policies: read, checked, compiled and decided, without a clock, a database or a network."""
