"""How networks are trained: one loop, its optimiser steps, and the prior of latent points."""
