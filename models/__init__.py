"""Losses and segmentor parts that mmseg lacks or has wrong."""
