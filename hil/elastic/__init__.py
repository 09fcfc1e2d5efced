"""The search on elastic networks: shapes on inherited accuracy, then fine-tuning of few."""
