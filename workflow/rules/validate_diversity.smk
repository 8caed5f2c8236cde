# Diversity: do synthetic patients cover the variety of real ones?
