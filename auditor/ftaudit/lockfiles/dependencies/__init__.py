"""What a package asks for: requirements with their markers and extras, and the chains that lead to a package."""
