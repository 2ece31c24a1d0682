"""What is read: the alphabet, FASTA, the token store, windows, labels, k-mers."""
