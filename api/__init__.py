"""The REST API and the dashboard: a door that translates and delegates, and never computes."""
