"""What generators that start from noise share."""
