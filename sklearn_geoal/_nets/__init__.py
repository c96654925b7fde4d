"""Networks and their losses in plain torch, shared by the estimators."""
