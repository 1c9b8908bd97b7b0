"""The shape of every answer, one file a resource: what OpenAPI documents is what is checked on the way out."""
