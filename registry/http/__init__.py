"""HTTP plumbing shared by the front doors; it knows no protocol's words."""
