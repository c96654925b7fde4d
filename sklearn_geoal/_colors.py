"""Colours of classes, the same in pictures and in files."""

# Okabe and Ito's seven, then each colour as far as possible from those before it and from white, black and the grey of
# the unlabelled, as seen with full colour vision, without red cones and without green cones
PALETTE = (
    "#0072B2 #E69F00 #009E73 #D55E00 #CC79A7 #56B4E9 #F0E442 #5A002D #9600FF #000096 "
    "#3C4B00 #00FFA5 #A50F87 #874B4B #003C5A #8778F0 #FF2D69 #5A2DB4 #78F0FF #E100D2"
).split()
