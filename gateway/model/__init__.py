"""What flows through the house: identifiers, what may carry a person (`clear`), what may leave (`sealed`)."""
