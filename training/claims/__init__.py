"""Claims of the papers, each as code: what was said, how it is tested here, and what came out."""
