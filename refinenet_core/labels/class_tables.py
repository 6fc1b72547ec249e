"""Class names and colours of the data sets, in the order of their class ids.

Names are the published ones with their words parted and their spelling mended: "diningtable" is
"dining table" here, and NYUDv2's "refridgerator" is "refrigerator".
"""

from refinenet_core.labels.palettes import Colour

# PASCAL VOC 2012, the order of the development kit.
VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa",
    "train", "tv/monitor",
)  # fmt: skip

VOC_VOID_COLOUR: Colour = (224, 224, 192)  # entry 255 of the development kit's palette

# PASCAL Person-Part: Chen et al., "Detect What You Can", CVPR 2014, its parts merged to six.
PERSON_PART = (
    "background", "head", "torso", "upper arms", "lower arms", "upper legs", "lower legs",
)  # fmt: skip

# PASCAL-Context: Mottaghi et al., CVPR 2014, the order of its page's list of 59 labels, which the
# published RefineNets follow. MMSegmentation sorts the names: masks that it converted need another
# order.
PASCAL_CONTEXT_59 = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv/monitor",
    "bag", "bed", "bench", "book", "building", "cabinet", "ceiling", "cloth", "computer", "cup",
    "door", "fence", "floor", "flower", "food", "grass", "ground", "keyboard", "light", "mountain",
    "mouse", "curtain", "platform", "sign", "plate", "road", "rock", "shelves", "sidewalk", "sky",
    "snow", "bedclothes", "track", "tree", "truck", "wall", "water", "window", "wood",
)  # fmt: skip

# NYUDv2: Silberman et al., ECCV 2012, with the 40 classes of Gupta et al., CVPR 2013.
NYUV2_40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf",
    "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror",
    "floor mat", "clothes", "ceiling", "books", "refrigerator", "television", "paper", "towel",
    "shower curtain", "box", "whiteboard", "person", "night stand", "toilet", "sink", "lamp",
    "bathtub", "bag", "other structure", "other furniture", "other prop",
)  # fmt: skip

# SUN RGB-D: Song et al., CVPR 2015, `seg37list` of its toolbox: NYUDv2's first 37, two renamed.
SUN_RGBD_37 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf",
    "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror",
    "floor mat", "clothes", "ceiling", "books", "fridge", "tv", "paper", "towel",
    "shower curtain", "box", "whiteboard", "person", "night stand", "toilet", "sink", "lamp",
    "bathtub", "bag",
)  # fmt: skip

# CamVid: Brostow et al., 2008, as SegNet reduced it to 11 classes, in its order.
CAMVID: dict[str, Colour] = {
    "sky": (128, 128, 128), "building": (128, 0, 0), "pole": (192, 192, 128),
    "road": (128, 64, 128), "pavement": (60, 40, 222), "tree": (128, 128, 0),
    "sign-symbol": (192, 128, 128), "fence": (64, 64, 128), "car": (64, 0, 128),
    "pedestrian": (64, 64, 0), "bicyclist": (0, 128, 192),
}  # fmt: skip
CAMVID_VOID_COLOUR: Colour = (0, 0, 0)  # "Void" in the data set's own table of label colours

# Cityscapes: Cordts et al., CVPR 2016, the label table of its scripts, in the order of train ids.
CITYSCAPES: dict[str, Colour] = {
    "road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70),
    "wall": (102, 102, 156), "fence": (190, 153, 153), "pole": (153, 153, 153),
    "traffic light": (250, 170, 30), "traffic sign": (220, 220, 0), "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152), "sky": (70, 130, 180), "person": (220, 20, 60),
    "rider": (255, 0, 0), "car": (0, 0, 142), "truck": (0, 0, 70), "bus": (0, 60, 100),
    "train": (0, 80, 100), "motorcycle": (0, 0, 230), "bicycle": (119, 11, 32),
}  # fmt: skip

# The label id of each class above; the masks hold 34 label ids, 0 to 33, the others being void.
CITYSCAPES_LABEL_IDS = (
    7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33,
)  # fmt: skip

# Colours of the labels outside the evaluation, from the same table: unlabelled and four others,
# dynamic, ground, parking, rail track, guard rail, bridge, tunnel, caravan, trailer. Two are not
# here: a pole group is drawn as pole and a licence plate as car, so they are read as such.
CITYSCAPES_VOID_COLOURS: tuple[Colour, ...] = (
    (0, 0, 0), (111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140), (180, 165, 180),
    (150, 100, 100), (150, 120, 90), (0, 0, 90), (0, 0, 110),
)  # fmt: skip

# ADE20K: Zhou et al., CVPR 2017, the 150 classes of the Scene Parsing benchmark, each by the first
# of its synonyms. Road and skyscraper share a colour there.
ADE20K: dict[str, Colour] = {
    "wall": (120, 120, 120), "building": (180, 120, 120), "sky": (6, 230, 230),
    "floor": (80, 50, 50), "tree": (4, 200, 3), "ceiling": (120, 120, 80),
    "road": (140, 140, 140), "bed": (204, 5, 255), "windowpane": (230, 230, 230),
    "grass": (4, 250, 7), "cabinet": (224, 5, 255), "sidewalk": (235, 255, 7),
    "person": (150, 5, 61), "earth": (120, 120, 70), "door": (8, 255, 51), "table": (255, 6, 82),
    "mountain": (143, 255, 140), "plant": (204, 255, 4), "curtain": (255, 51, 7),
    "chair": (204, 70, 3), "car": (0, 102, 200), "water": (61, 230, 250),
    "painting": (255, 6, 51), "sofa": (11, 102, 255), "shelf": (255, 7, 71),
    "house": (255, 9, 224), "sea": (9, 7, 230), "mirror": (220, 220, 220), "rug": (255, 9, 92),
    "field": (112, 9, 255), "armchair": (8, 255, 214), "seat": (7, 255, 224),
    "fence": (255, 184, 6), "desk": (10, 255, 71), "rock": (255, 41, 10),
    "wardrobe": (7, 255, 255), "lamp": (224, 255, 8), "bathtub": (102, 8, 255),
    "railing": (255, 61, 6), "cushion": (255, 194, 7), "base": (255, 122, 8), "box": (0, 255, 20),
    "column": (255, 8, 41), "signboard": (255, 5, 153), "chest of drawers": (6, 51, 255),
    "counter": (235, 12, 255), "sand": (160, 150, 20), "sink": (0, 163, 255),
    "skyscraper": (140, 140, 140), "fireplace": (250, 10, 15), "refrigerator": (20, 255, 0),
    "grandstand": (31, 255, 0), "path": (255, 31, 0), "stairs": (255, 224, 0),
    "runway": (153, 255, 0), "case": (0, 0, 255), "pool table": (255, 71, 0),
    "pillow": (0, 235, 255), "screen door": (0, 173, 255), "stairway": (31, 0, 255),
    "river": (11, 200, 200), "bridge": (255, 82, 0), "bookcase": (0, 255, 245),
    "blind": (0, 61, 255), "coffee table": (0, 255, 112), "toilet": (0, 255, 133),
    "flower": (255, 0, 0), "book": (255, 163, 0), "hill": (255, 102, 0), "bench": (194, 255, 0),
    "countertop": (0, 143, 255), "stove": (51, 255, 0), "palm": (0, 82, 255),
    "kitchen island": (0, 255, 41), "computer": (0, 255, 173), "swivel chair": (10, 0, 255),
    "boat": (173, 255, 0), "bar": (0, 255, 153), "arcade machine": (255, 92, 0),
    "hovel": (255, 0, 255), "bus": (255, 0, 245), "towel": (255, 0, 102), "light": (255, 173, 0),
    "truck": (255, 0, 20), "tower": (255, 184, 184), "chandelier": (0, 31, 255),
    "awning": (0, 255, 61), "streetlight": (0, 71, 255), "booth": (255, 0, 204),
    "television receiver": (0, 255, 194), "airplane": (0, 255, 82), "dirt track": (0, 10, 255),
    "apparel": (0, 112, 255), "pole": (51, 0, 255), "land": (0, 194, 255),
    "bannister": (0, 122, 255), "escalator": (0, 255, 163), "ottoman": (255, 153, 0),
    "bottle": (0, 255, 10), "buffet": (255, 112, 0), "poster": (143, 255, 0),
    "stage": (82, 0, 255), "van": (163, 255, 0), "ship": (255, 235, 0), "fountain": (8, 184, 170),
    "conveyer belt": (133, 0, 255), "canopy": (0, 255, 92), "washer": (184, 0, 255),
    "plaything": (255, 0, 31), "swimming pool": (0, 184, 255), "stool": (0, 214, 255),
    "barrel": (255, 0, 112), "basket": (92, 255, 0), "waterfall": (0, 224, 255),
    "tent": (112, 224, 255), "bag": (70, 184, 160), "minibike": (163, 0, 255),
    "cradle": (153, 0, 255), "oven": (71, 255, 0), "ball": (255, 0, 163), "food": (255, 204, 0),
    "step": (255, 0, 143), "tank": (0, 255, 235), "trade name": (133, 255, 0),
    "microwave": (255, 0, 235), "pot": (245, 0, 255), "animal": (255, 0, 122),
    "bicycle": (255, 245, 0), "lake": (10, 190, 212), "dishwasher": (214, 255, 0),
    "screen": (0, 204, 255), "blanket": (20, 0, 255), "sculpture": (255, 255, 0),
    "hood": (0, 153, 255), "sconce": (0, 41, 255), "vase": (0, 255, 204),
    "traffic light": (41, 0, 255), "tray": (41, 255, 0), "ashcan": (173, 0, 255),
    "fan": (0, 245, 255), "pier": (71, 0, 255), "crt screen": (122, 0, 255),
    "plate": (0, 255, 184), "monitor": (0, 92, 255), "bulletin board": (184, 255, 0),
    "shower": (0, 133, 255), "radiator": (255, 214, 0), "glass": (25, 194, 194),
    "clock": (102, 255, 0), "flag": (92, 0, 255),
}  # fmt: skip
