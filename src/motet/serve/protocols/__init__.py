"""What a served graph can be spoken to in: its own JSON, OpenAI's, the Open Inference Protocol."""
