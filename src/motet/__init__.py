"""Motet: models of every kind in one typed graph, trained, measured, prepared and served from one definition."""

from motet.apply import Whole
from motet.candidates import Candidates, retrieve
from motet.column import (
    Category,
    Column,
    Flag,
    Image,
    Key,
    Late,
    Number,
    Sequence,
    Tags,
    Text,
    Time,
    Vector,
    column,
    learn,
)
from motet.data import Data
from motet.errors import DataError, GraphError, MotetError, RunError
from motet.fitted import Fitted, published
from motet.graph import Graph
from motet.llm import LLM
from motet.model import Model, State
from motet.models.behavior.als import ALS
from motet.models.behavior.dcn import DCN
from motet.models.behavior.ease import EASE
from motet.models.behavior.hstu import HSTU
from motet.models.behavior.item_knn import ItemKNN
from motet.models.behavior.lightgbm import LightGBM
from motet.models.behavior.logistic import Logistic
from motet.models.behavior.popular import Popular
from motet.models.behavior.sasrec import SASRec
from motet.models.behavior.scikit import Sklearn
from motet.models.behavior.two_tower import TwoTower
from motet.models.content.bm25 import BM25
from motet.models.content.classify import Classify, Labelled
from motet.models.content.dialogue import Dialogue
from motet.models.content.draw import Draw
from motet.models.content.embed import Embed
from motet.models.content.extract import Extract
from motet.models.content.pool import Pool
from motet.models.content.rerank import Rerank
from motet.models.content.shots import FewShot
from motet.models.content.template import Template
from motet.models.content.tfidf import TFIDF
from motet.models.content.vision import ClassifyImage, EmbedImage
from motet.models.content.write import Write
from motet.models.endpoint import Endpoint
from motet.models.function import function
from motet.models.mlflow import MLflow
from motet.models.onnx import ONNX
from motet.models.torch import Torch
from motet.past import past
from motet.record import Entity, Event, Record, default, labels, looked_up, outcome
from motet.returns.choose import choose
from motet.returns.distill import distill, taught
from motet.returns.worth import Prices, Worth
from motet.run.ray.config import Ray
from motet.sources import read, sql

__all__ = [
    "ALS",
    "BM25",
    "DCN",
    "EASE",
    "HSTU",
    "LLM",
    "ONNX",
    "TFIDF",
    "Candidates",
    "Category",
    "Classify",
    "ClassifyImage",
    "Column",
    "Data",
    "DataError",
    "Dialogue",
    "Draw",
    "Embed",
    "EmbedImage",
    "Endpoint",
    "Entity",
    "Event",
    "Extract",
    "FewShot",
    "Fitted",
    "Flag",
    "Graph",
    "GraphError",
    "Image",
    "ItemKNN",
    "Key",
    "Labelled",
    "Late",
    "LightGBM",
    "Logistic",
    "MLflow",
    "Model",
    "MotetError",
    "Number",
    "Pool",
    "Popular",
    "Prices",
    "Ray",
    "Record",
    "Rerank",
    "RunError",
    "SASRec",
    "Sequence",
    "Sklearn",
    "State",
    "Tags",
    "Template",
    "Text",
    "Time",
    "Torch",
    "TwoTower",
    "Vector",
    "Whole",
    "Worth",
    "Write",
    "choose",
    "column",
    "default",
    "distill",
    "function",
    "labels",
    "learn",
    "looked_up",
    "outcome",
    "past",
    "published",
    "read",
    "retrieve",
    "sql",
    "taught",
]
