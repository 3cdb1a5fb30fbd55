"""Groups that grow and shrink, and the policies that let them."""
