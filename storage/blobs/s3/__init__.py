"""A blob store in an S3 bucket: `store` is the BlobStore, `bucket` what it asks of S3, `client` the way to S3."""
