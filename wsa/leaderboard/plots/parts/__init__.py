"""What pictures are made of: SVG, marks, and the shapes that several of them share."""
