"""What is trained: the encoder, its checkpoints, and the watch for collapse."""
