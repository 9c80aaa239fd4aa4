"""The steps; a step that was released is never changed, another one follows it."""
