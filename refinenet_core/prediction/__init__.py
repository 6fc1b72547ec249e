"""From images to label maps: several scales, their average, tiles, and how fast it goes."""
