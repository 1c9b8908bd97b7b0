"""The search: objectives and limits, the Pareto front, samplers (Optuna), and the loop that spends the budget."""
