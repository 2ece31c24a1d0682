"""Encoders for others: a folder with weights and a model card, on disk or on the Hugging Face hub."""
