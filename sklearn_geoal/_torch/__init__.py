"""Train and apply torch networks inside estimators: the one wing that imports skorch."""
