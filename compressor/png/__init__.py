"""PNG (W3C PNG, third edition): header, scanlines, pixels, and all of it written again."""
