"""Data, training at a fixed budget of steps, and the score of a trained model."""
