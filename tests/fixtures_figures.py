"""What is asked of every figure."""

from itertools import pairwise

from matplotlib.backends.backend_agg import FigureCanvasAgg

from haemosynth.core.figures import save_figure


def overlapping(figure):
    """Pairs of tick labels of one axis that lie on each other, and labels and titles beyond the edge of the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    edge = figure.bbox.padded(1)
    for axis in figure.axes:
        if not axis.get_visible():
            continue
        for text in (axis.title, axis._left_title, axis.xaxis.label, axis.yaxis.label):
            box = text.get_window_extent(canvas.get_renderer())
            if text.get_text() and not (edge.contains(box.x0, box.y0) and edge.contains(box.x1, box.y1)):
                found.append((text.get_text(), "edge"))
        for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
            boxes = [
                (label.get_text(), label.get_window_extent(canvas.get_renderer()))
                for label in labels
                if label.get_text() and label.get_visible()
            ]
            for text, box in boxes:
                # Ticks beyond the limits are never drawn, but have a place.
                if axis.bbox.padded(4).x0 <= (box.x0 + box.x1) / 2 <= axis.bbox.x1 + 4 and box.y0 < edge.y0:
                    found.append((text, "edge"))
            for (first, a), (second, b) in pairwise(boxes):
                across = min(a.x1, b.x1) - max(a.x0, b.x0)
                up = min(a.y1, b.y1) - max(a.y0, b.y0)
                if across > 1 and up > 1:
                    found.append((first, second))
    return found


def drawn_alike(draw, folder):
    """Whether a figure that is drawn twice has the same bytes."""
    save_figure(draw(), folder / "one.svg")
    save_figure(draw(), folder / "two.svg")
    return (folder / "one.svg").read_bytes() == (folder / "two.svg").read_bytes()
