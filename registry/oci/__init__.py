"""The OCI Distribution API and the token endpoint that its clients use."""
