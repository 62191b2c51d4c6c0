"""A store around any store, which seals all that is kept in it."""
