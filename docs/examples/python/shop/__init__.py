def total(prices, vat=0.19):
    return round(sum(prices) * (1 + vat), 2)
