"""The simulated world: a robot tabletop with its truth, pictures, language and questions."""
