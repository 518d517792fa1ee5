"""Parts of answers that several commands share, and the text of long ones."""
