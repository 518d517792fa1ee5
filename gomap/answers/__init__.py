"""Parts of answers that several commands share."""
