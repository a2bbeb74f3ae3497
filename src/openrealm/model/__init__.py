"""The equations of the papers, and the networks they are applied to; independent of any index."""
