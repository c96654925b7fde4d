"""Active learners: the graph they stand on, what all of them ask and are told, and each of them."""
