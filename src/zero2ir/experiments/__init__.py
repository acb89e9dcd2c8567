"""The pipeline under many conditions: presets, runs, tables, and the figures that are published from them."""
