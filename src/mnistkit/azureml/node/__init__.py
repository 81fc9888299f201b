"""The process on the node: runs the attempts of a job; of an SDK it needs a `RunWriter` alone."""
