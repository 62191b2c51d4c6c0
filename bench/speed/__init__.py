"""The benchmark `speed`: Lading beside registries in Go, from small requests to large blobs."""
