"""One file a resource; each exports `router`."""
