"""The training strategies, one module or package each."""
