"""A convolutional network tells images apart; each choice of the slides is a field.

Slides "Convolution", "Pooling", "Optimisation", "Batch normalisation", "Mais aussi". By default on 5,000
real digits of MNIST, which the package holds.

    python launch.py --exp=image_classification
"""

from mi203jax.configs import ImageClassification
from mi203jax.core.experiment import Experiment

STRONG = (
    "rotation=15",
    "zoom=0.15",
    "shear=0.2",
    "label_smoothing=0.1",
    "learning_rate=5e-3",
    "weight_decay=0.02",
)
FASHION = (
    "augment=(shift,flip)",
    "shift=1",
    "label_smoothing=0.1",
    "learning_rate=4e-3",
    "weight_decay=0.02",
    "batch_size=64",
)

EXPERIMENT = Experiment(
    ImageClassification(),
    "mi203jax.tasks.image_classification:task",
    {
        "best": ("channels=(24,48,96)", "total_steps=200_000", "eval_every=50_000", *STRONG),
        "digits": (
            *("data=digits/blocks", "channels=(32,64)", "translation=1", "batch_size=64"),
            *("total_steps=150_000", "eval_every=15_000", *STRONG),
        ),
        "fashion_mnist": (
            *("data=fashion_mnist", "channels=(32,64,128)", "total_steps=300_000", "eval_every=60_000"),
            *FASHION,
        ),
        "augment": ("augment=(),(shift),(affine),(cutout),(noise),(mix_up)",),
        "batch_size": ("batch_size=8,32,128,512,4000",),
        "clipping": ("clip_norm=0,0.1,1", "optimizer=heavy_ball", "learning_rate=0.1"),
        "dropout": ("use_dropout=true", "dropout=0,0.25,0.5", "hidden=(128,)"),
        "initializer": (
            "initializer=uniform,gaussian,xavier,he,orthogonal,delta_orthogonal",
            "normalization=none",
        ),
        "invariance": ("invariance=none,mean,max",),
        "loss": ("loss=cross_entropy,focal,squared,hinge,logistic,exponential",),
        "normalization": ("normalization=none,batch,layer",),
        "optimizer": (
            "optimizer=sgd,normalized_gradient,adagrad,momentum_ema,heavy_ball,nesterov,adam",
            "learning_rate=1e-3,1e-2,1e-1",
        ),
        "pooling": ("pooling=max,avg,stride",),
        "spectral_norm": ("spectral_norm=false,true",),
        "standardize": ("standardize=none,vector,feature,channel",),
    },
)
