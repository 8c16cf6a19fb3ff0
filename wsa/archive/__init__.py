"""Results that are kept: verified, compared, bundled, published."""
