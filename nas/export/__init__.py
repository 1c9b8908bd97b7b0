"""What leaves the service: the configuration document, weights, and the model rebuilt from them."""
